"""Files that are appended to, rotated and repaired: what must hold, and what a kill leaves at each point.

The room knows bytes and paths. Its caller delivers a `Write` at a time, has a durable position, and saves with
it, in one transaction, a checkpoint made here. Position and checkpoint are written as (P, C) below.

What must hold
    C lists files as path → inode, size, check of the last bytes before `size`.
    1. Of a listed file the first `size` bytes are what P says was delivered to it; what lies behind is not
       positioned, and will be delivered again.
    2. A file that is not listed is complete: all of it is positioned (or somebody else's), and never cut.
    3. Nothing is written to a file that the durable C does not list under its present inode and size.

How it is kept
    begin    open what the write needs; rotate what would grow past its limit. If a file is not listed as it
             is now (new, opened again, rotated, or changed by somebody), the caller saves an intent: a C of
             the files open now, at their exact sizes. All that was delivered before is positioned by that
             same save, so files no longer open drop out, and the rotated ones with them (2).
             Where one position covers several writes, it lists the sizes before the first of them, and
             nothing drops out amid them.
    finish   append; then the caller takes P forward with the new C, whenever it likes.
    repair   at the start: find each listed file by its inode, at its path or renamed in its directory, make
             sure of it by the check, and cut it back to `size`.

Killed …
    after creating a file, before its intent       it is empty and not listed: nothing to do
    amid the renames of a rotation                 the generations have a hole, which the next one fills; the
                                                   file itself is where it was
    after the rotation, before the intent          C lists the inode, which is found at `.1` and cut back; the
                                                   new file is empty and not listed
    after the intent, before or amid the append    cut back to the size in the intent
    after the append, before P is durable          the same: P and C are of one transaction
    after P                                        nothing to cut
    amid compression                               `.part` is left, which the next attempt replaces; C names
                                                   the path, so that `repair` begins that attempt at once
    between naming the compressed file and         both are there; the plain one goes at the next attempt,
    removing the plain one                         or before the next rotation
    amid the repair                                it is done again, to the same end

Compression begins only once the intent after the rotation is durable, when no repair needs the plain file.

A write that fails is undone at once. One whose caller no longer waits (cancelled) is undone before the next,
or at the end. A file may be moved, removed or cut (logrotate) at any time: that is noticed before the next
write, which begins anew at the path. What somebody does between that look and the write, a millisecond, is
not seen: with logrotate's `copytruncate` such lines can be lost, as with any program.

A power failure is something else: see `fsync` in `Shape`.
"""

from agent.transport.files.disk import Disk, try_directory
from agent.transport.files.log_file import Write
from agent.transport.files.store import Intent, Shape, Store, Written
from agent.transport.files.template import PathTemplate

__all__ = ["Disk", "Intent", "PathTemplate", "Shape", "Store", "Write", "Written", "try_directory"]

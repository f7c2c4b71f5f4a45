"""Lays out the image's root file system: of its base what the agent uses, and nothing else.

    python3 conf/rootfs.py ROOT ENVIRONMENT

The Dockerfile's first stage runs it, with the interpreter that the image is to have. ROOT is made: the
interpreter, its standard library, each shared library that one of them or of the wheels needs, the trusted
authorities, and for each of Debian's packages that gave a file its entry in /var/lib/dpkg/status.d, where scanners
look, and its licence. ENVIRONMENT, with the agent's dependencies, is trimmed where it is.

Any base will do that is of the Debian family, has Python 3.11 or newer with venv, ca-certificates and libstdc++6.
"""

from __future__ import annotations

import compileall
import functools
import os
import py_compile
import re
import shutil
import ssl
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
LOADER = Path("/etc/ld.so.conf")
DPKG = Path("/var/lib/dpkg")
FILES = (Path("/etc/debian_version"), Path("/etc/nsswitch.conf"), Path("/etc/os-release"), AUTHORITIES)
USER = 65532
ACCOUNTS = {
    "passwd": f"root:x:0:0::/:/bin/false\ndockferry:x:{USER}:{USER}::/home/dockferry:/bin/false\n",
    "group": f"root:x:0:\ndockferry:x:{USER}:\n",
}

#: Of the standard library, what developers use, what draws on screens, and what the agent has no use for: input is
#: UTF-8, or counted as not being so.
DEVELOPERS = (
    "config-*",
    "distutils",
    "doctest.py",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc*",
    "test",
    "unittest",
)
SCREENS = ("_pyrepl", "curses", "tkinter", "turtle.py", "turtledemo")
FOREIGN = ("__pycache__", "dist-packages", "site-packages", "sitecustomize.py", "venv")
MODULES = (
    "_codecs_",
    "_crypt.",
    "_ctypes_test",
    "_curses",
    "_dbm.",
    "_gdbm.",
    "_lsprof.",
    "_test",
    "_tkinter.",
)
MORE_MODULES = ("_xx", "audioop.", "nis.", "ossaudiodev.", "readline.", "xx")
UNUSED = (*DEVELOPERS, *SCREENS, *FOREIGN, *(f"lib-dynload/{name}*" for name in MODULES + MORE_MODULES))
#: Of the dependencies: sources of what is compiled, stubs, tests, and what knows how to colour program text.
SOURCES = tuple(f"**/*.{suffix}" for suffix in ("c", "h", "hash", "pxd", "pxi", "pyi", "pyx"))
TRIMMINGS = (
    *SOURCES,
    *(
        "**/__pycache__",
        "*-stubs",
        "*/tests",
        "botocore/data/*/*/examples-1.json",
        "dateutil/zoneinfo/*.tar.gz",
    ),
    *("pygments/lexers/[!_]*", "pygments/lexers/_[!_m]*"),
)
#: Of the environment's programs.
SCRIPTS = {"python", "python3", f"python3.{sys.version_info.minor}"}
#: What the sinks ask for, and what else may have to be asked for credentials.
SERVICES = {"logs", "s3", "signin", "sso", "sso-oidc", "sts"}


class Root:
    """The root file system at `path`, as it grows; `brought`: the files of the base that are in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.brought: set[Path] = set()

    def at(self, path: Path) -> Path:
        """Where that absolute path is, its directory made."""
        inside = self.path / path.relative_to("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        return inside

    def bring(self, path: Path) -> None:
        """Copy a file of the base, with each symbolic link on the way to it."""
        for step in (*reversed(path.parents), path):
            if step.is_symlink():
                link, target = self.at(step), step.readlink()
                if not link.is_symlink():
                    link.symlink_to(target)
                self.bring(Path(os.path.normpath(step.parent / target)) / path.relative_to(step))
                return
        if path not in self.brought:
            shutil.copy2(path, self.at(path))
            self.brought.add(path)

    def write(self, path: Path, text: str) -> None:
        """Make a text file."""
        self.at(path).write_text(text, "utf-8")


def files(folder: Path) -> Iterator[Path]:
    """The files below it, links left out."""
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def remove(paths: Iterable[Path]) -> None:
    """Remove files, links and directories."""
    for path in list(paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def bring_python(root: Root) -> Path:
    """The interpreter and its standard library; where in the root the latter is."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    unused = {path for pattern in UNUSED for path in stdlib.glob(pattern)}
    root.bring(Path(sys.executable))
    for path in stdlib.rglob("*"):
        if path.is_file() and unused.isdisjoint((path, *path.parents)) and path.parent.name != "__pycache__":
            root.bring(path)
    return root.at(stdlib.resolve())


def bring_libraries(root: Root, *folders: Path) -> None:
    """What the loader needs for each program and library below these folders, the loader, and its index."""
    linked = [str(path) for folder in folders for path in files(folder) if is_elf(path)]
    told = subprocess.run(["ldd", *linked], stdout=subprocess.PIPE, text=True, check=False).stdout
    if missing := sorted(set(re.findall(r"^\t(\S+) => not found", told, re.MULTILINE))):
        sys.exit(f"rootfs: the base has no {', '.join(missing)}; conf/base-image makes one that has all")
    for path in sorted(set(re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", told, re.MULTILINE))):
        if not any(Path(path).is_relative_to(folder) for folder in folders):
            root.bring(Path(path))
    for path in (LOADER, *Path(f"{LOADER}.d").glob("*.conf")):
        root.bring(path)
    subprocess.run(["ldconfig", "-X", "-r", str(root.path)], stderr=subprocess.DEVNULL, check=True)
    remove([root.path / "var/cache"])  # of ldconfig


def is_elf(path: Path) -> bool:
    """Whether it is a program or a library."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def trim_program(path: Path) -> None:
    """Cut off what stands behind the last segment: names and lines for debuggers, which no loader reads.

    Done here, as a base need not have `strip`. ELF-64 Object File Format 1.5, sections 3 and 7.
    """
    image = bytearray(path.read_bytes())
    if image[4:6] != b"\2\1":  # not of 64 bits, little-endian: left as it is
        return
    (headers,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    ends = [headers + size * count]
    for at in range(headers, headers + size * count, size):
        offset, length = struct.unpack_from("<8xQ16xQ", image, at)
        ends.append(offset + length)
    del image[max(ends) :]
    struct.pack_into("<Q", image, 40, 0)  # e_shoff: the table of sections went, too
    struct.pack_into("<HHH", image, 58, 0, 0, 0)
    path.write_bytes(image)


def trim_environment(environment: Path) -> Path:
    """Leave of the agent's dependencies what it runs; where they are."""
    (packages,) = environment.glob("lib/python3.*/site-packages")
    remove(path for path in (environment / "bin").iterdir() if path.name not in SCRIPTS)
    remove(path for pattern in TRIMMINGS for path in packages.glob(pattern))
    remove(path for path in packages.glob("botocore/data/*/") if path.name not in SERVICES)
    return packages


def compile_all(folder: Path, *, root: Path = Path("/")) -> None:
    """Replace what is Python below it by bytecode, the same whenever it is made. root: not in its paths."""
    done = compileall.compile_dir(
        folder,
        quiet=1,
        legacy=True,
        stripdir=root,
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        sys.exit(f"rootfs: {folder} is not all Python")
    remove(folder.rglob("*.py"))


def name_packages(root: Root) -> None:
    """Say which of Debian's packages gave a file, in which version, under which licence."""
    owners = {"ca-certificates"}  # its file is made when it is configured
    real = functools.cache(os.path.realpath)
    for listed in (DPKG / "info").glob("*.list"):
        paths = (line.rpartition("/") for line in listed.read_text("utf-8").splitlines())
        if any(Path(real(folder or "/"), name) in root.brought for folder, _, name in paths):
            owners.add(listed.stem.partition(":")[0])
    for paragraph in (DPKG / "status").read_text("utf-8").split("\n\n"):
        name = paragraph.partition("\n")[0].removeprefix("Package: ")
        if name in owners:
            root.write(DPKG / "status.d" / name, f"{paragraph.strip()}\n")
            licence = Path("/usr/share/doc") / name / "copyright"
            if licence.exists():
                root.bring(licence)


def main(path: Path, environment: Path) -> None:
    """Lay it out."""
    if not (DPKG / "status").exists() or not AUTHORITIES.exists():
        sys.exit("rootfs: the base must be of the Debian family and have the package ca-certificates")
    root = Root(path)
    packages = trim_environment(environment)
    stdlib = bring_python(root)
    bring_libraries(root, path, environment)
    for program in filter(is_elf, (*files(path), *files(environment))):
        trim_program(program)
    for file in FILES:
        if file.exists():
            root.bring(file)
    name_packages(root)
    compile_all(stdlib, root=path)
    compile_all(packages)
    authorities = root.at(Path(ssl.get_default_verify_paths().openssl_cafile))
    if not authorities.exists():
        authorities.symlink_to(AUTHORITIES)
    for name, text in ACCOUNTS.items():
        root.write(Path("/etc") / name, text)
    root.at(Path("/home/dockferry")).mkdir()
    root.at(Path("/tmp")).mkdir()  # noqa: S108 - for those who mount one
    root.at(Path("/tmp")).chmod(0o1777)  # noqa: S108


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

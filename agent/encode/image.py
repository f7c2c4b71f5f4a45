"""An image's name taken apart, for destinations that keep its tag beside it.

Source: distribution's reference, "[domain[:port]/]path[:tag][@digest]".
"""

from __future__ import annotations


def split_image(image: str) -> tuple[str, str]:
    """Name and tag; the tag is empty where there is none, and a digest is left out.

    A container of an image that lost its name has the image's id instead: that has no tag.
    """
    if image.startswith("sha256:"):
        return image, ""
    named = image.partition("@")[0]
    path, slash, last = named.rpartition("/")
    last, _, tag = last.partition(":")
    return path + slash + last, tag

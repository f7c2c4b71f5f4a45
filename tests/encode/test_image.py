"""An image's name and its tag."""

from __future__ import annotations

import pytest

from agent.encode.image import split_image


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [
        ("nginx", "nginx", ""),
        ("nginx:1.27", "nginx", "1.27"),
        ("registry.example:5000/shop/web", "registry.example:5000/shop/web", ""),
        ("registry.example:5000/shop/web:2", "registry.example:5000/shop/web", "2"),
        ("shop/web:2@sha256:0123abcd", "shop/web", "2"),
        ("shop/web@sha256:0123abcd", "shop/web", ""),
        ("sha256:0123abcd", "sha256:0123abcd", ""),
        ("", "", ""),
    ],
)
def test_the_tag_is_what_follows_the_last_colon_of_the_last_step(image: str, name: str, tag: str) -> None:
    assert split_image(image) == (name, tag)

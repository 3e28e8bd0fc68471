"""The attached terminals that are told of sessions that need somebody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Post = Callable[[dict[str, Any]], object]


class Notices:
    """The attached terminals that take notices. Their `post` must not block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._posts: list[Post] = []

    def add(self, post: Post) -> None:
        """Tell this terminal, too."""
        with self._lock:
            self._posts.append(post)

    def remove(self, post: Post) -> None:
        """Tell it no more."""
        with self._lock:
            self._posts = [one for one in self._posts if one != post]

    def tell(self, notice: dict[str, Any]) -> None:
        """Tell all of them."""
        with self._lock:
            posts = list(self._posts)
        for post in posts:
            post(notice)

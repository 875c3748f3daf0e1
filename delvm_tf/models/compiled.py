"""Graphs of functions, kept as long as all that they were made from stays the same."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

KEPT = 32  # graphs of one model


class CompiledFunctions:
    """The graphs that were used last, by what determines them."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._graphs)

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The graph of a key, made where it is not there; the one unused longest makes room."""
        if key not in self._graphs:
            self._graphs[key] = make()
        self._graphs.move_to_end(key)
        while len(self._graphs) > KEPT:
            self._graphs.popitem(last=False)
        return self._graphs[key]

    def clear(self) -> None:
        """Forget all graphs."""
        self._graphs.clear()

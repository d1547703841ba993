"""YAML text as nodes, within bounds: a text of a few lines may stand for a billion values, or for itself."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

MOST_BYTES = 500_000  # of a file
MOST_VALUES = 20_000  # keys and values as written; reading one takes 0.1 ms
MOST_EXPANDED = 50_000  # the same with every alias written out
DEEPEST = 50  # lists and mappings within each other


class OutOfBoundsError(Exception):
    """More than is read; the message says what to do. ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _BoundedComposer(Composer):
    n_values = 0
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.n_values += 1
        self.depth += 1
        if self.n_values > MOST_VALUES or self.depth > DEEPEST:
            raise OutOfBoundsError(
                f"has more than {MOST_VALUES:,} keys and values; declare fewer columns" if self.depth <= DEEPEST
                else f"is nested more than {DEEPEST} levels deep; write at most 5 levels",
                self.parser.peek_event().start_mark.line + 1,
            )  # fmt: skip
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def compose(text: str) -> Node | None:
    """The document's root, None of an empty text. Raises OutOfBoundsError, and ruamel's MarkedYAMLError."""
    reader = YAML(typ="safe", pure=True)
    reader.Composer = _BoundedComposer
    node: Node | None = reader.compose(text)
    if node is not None:
        _expanded(node, {})
    return node


def _expanded(node: Node, sizes: dict[int, int | None]) -> int:
    """How many values a node stands for with its aliases written out. ``sizes``: of those seen; None while in one."""
    size = sizes.get(id(node), 0)
    if size is None:
        raise OutOfBoundsError("is nested within itself; write it out", node.start_mark.line + 1)
    if size:
        return size
    sizes[id(node)] = None
    if isinstance(node, SequenceNode):
        size = sum(_expanded(one, sizes) for one in node.value)
    elif isinstance(node, MappingNode):
        size = sum(_expanded(part, sizes) for pair in node.value for part in pair)
    if size >= MOST_EXPANDED:
        raise OutOfBoundsError(
            f"stands for more than {MOST_EXPANDED:,} values, because aliases (*) repeat it; write it out",
            node.start_mark.line + 1,
        )
    sizes[id(node)] = size + 1
    return size + 1


def construct(node: Node, text: str) -> Any:
    """The values of a composed document. Raises what ruamel raises: nearly anything."""
    reader = YAML(typ="safe", pure=True)
    if "<<" in text:
        return reader.load(text)  # merging changes the nodes, which tell the lines
    return reader.constructor.construct_document(node)

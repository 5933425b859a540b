"""Read what stands nested in a cell: JSON, or a list as Python prints it. Numbers stay exactly as they are written.

Data frames that are saved as CSV hold `[{'key': 'env', 'value': None}]`. No JSON begins like that, so it can mean one
thing only. Nothing in it is run: it is taken apart, and whatever isn't a plain value is refused.
"""

from __future__ import annotations

import ast
import json
import warnings
from typing import Any

PYTHON = "[{'"  # how a list of dicts begins, and no JSON
PYTHON_MAX = 1 << 20


class Pairs(list[tuple[str, Any]]):
    """An object with its keys in order, duplicates included."""


class Number(str):
    """A number exactly as written."""

    __slots__ = ()


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} isn't JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
)


def decode(text: str) -> Any:
    """Read a nested value: objects as Pairs, numbers as Number. Raises ValueError, or RecursionError for a bomb.

    >>> decode("[{'amount': -5e-06, 'id': None}]")
    [[('amount', '-5e-06'), ('id', None)]]
    """
    return _python(text) if text.startswith(PYTHON) else _DECODER.decode(text)


def _python(text: str) -> Any:
    if len(text) > PYTHON_MAX or "\n" in text:
        raise ValueError("isn't a list as Python prints it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)
            return _value(ast.parse(text, mode="eval").body, text.encode())
    except (SyntaxError, MemoryError) as error:
        raise ValueError("isn't a list as Python prints it") from error


def _value(node: ast.expr, source: bytes) -> Any:
    match node:
        case ast.List(elts=items):
            return [_value(item, source) for item in items]
        case ast.Dict(keys=keys, values=values):
            return Pairs((_key(key), _value(value, source)) for key, value in zip(keys, values, strict=True))
        case ast.Constant(value=value) if value is None or isinstance(value, str | bool):
            return value
        case ast.Constant(value=int() | float()):
            return Number(source[node.col_offset : node.end_col_offset].decode())
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return Number(source[node.col_offset : node.end_col_offset].decode())
        case ast.Call(func=ast.Name(id="Decimal"), args=[ast.Constant(value=str(number))], keywords=[]):
            return Number(number)
    raise ValueError(f"{ast.unparse(node)[:40]} isn't a plain value")


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError("a key isn't text")

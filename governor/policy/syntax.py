"""From the text of a predicate to sqlglot's tree: limits, characters, words, parentheses, then sqlglot's parser.

sqlglot knows ten thousand SQL constructs and a predicate may use about twenty. So the text is cut into words here, and
sqlglot is handed only operators, literals and neutral names: it never sees a keyword or function that it might
understand in its own way. Whatever it builds from them is checked again, node by node, in `resolve`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from governor.model import Position, Predicate, Problem
from governor.policy.source import place

MAX_CHARACTERS = 4_000
MAX_DEPTH = 64
MARK = "_"  # put before every name, so that no name is a word of sqlglot's own

_STACK = 10_000  # Python frames: sqlglot needs about 30 for a level of nesting, and there are at most 64

_WORD = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<string>'(?:[^']|'')*')"
    r"|(?P<number>\.?\d[\w.]*)"
    r"|(?P<name>[^\W\d]\w*)"
    r'|(?P<refused>--[^\n]*|/\*.*?(?:\*/|$)|==|=<|=>|\|\||&&|::|!~|->|"[^"]*"?|`[^`]*`?|!(?!=))'
    r"|(?P<operator><>|!=|<=|>=|[=<>+\-*(),.])"
    r"|(?P<other>.)",
    re.DOTALL,
)
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")

_OPERATORS = {
    "=": TokenType.EQ, "<>": TokenType.NEQ, "!=": TokenType.NEQ, "<": TokenType.LT, "<=": TokenType.LTE,
    ">": TokenType.GT, ">=": TokenType.GTE, "+": TokenType.PLUS, "-": TokenType.DASH, "*": TokenType.STAR,
    "(": TokenType.L_PAREN, ")": TokenType.R_PAREN, ",": TokenType.COMMA, ".": TokenType.DOT,
}  # fmt: skip
_KEYWORDS = {
    "AND": TokenType.AND, "OR": TokenType.OR, "NOT": TokenType.NOT, "IN": TokenType.IN, "LIKE": TokenType.LIKE,
    "BETWEEN": TokenType.BETWEEN, "IS": TokenType.IS, "NULL": TokenType.NULL, "TRUE": TokenType.TRUE,
    "FALSE": TokenType.FALSE,
}  # fmt: skip
_NEEDS_RIGHT = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", *_OPERATORS} - {"(", ")", ",", "."})
_NEEDS_LEFT = _NEEDS_RIGHT - {"NOT", "-"}
_AFTER_NOT = frozenset({"IN", "LIKE", "BETWEEN"})

_MEND_SYMBOL = {
    "--": "a predicate holds no comments; write a YAML comment (#) above it",
    "/*": "a predicate holds no comments; write a YAML comment (#) above it",
    ";": "a predicate is one condition; join several by AND or OR",
    "==": "equality is a single =",
    "=<": "write <=",
    "=>": "write >=",
    "||": "write OR",
    "&&": "write AND",
    "!": "write NOT, or <> for `is not equal`",
    "::": "a value keeps its kind, there are no casts",
    "/": "there is no division; multiply the other side: a > 2 * b",
    "%": "there is no remainder",
    "~": "write matches(x, 'pattern')",
    "!~": "write NOT matches(x, 'pattern')",
    "[": "a list stands in parentheses, x IN ('a', 'b'), and a tag is tag.NAME",
    "\\": "outside single quotes a backslash means nothing",
}
_MEND_WORD = {
    "CASE": "combine conditions by AND, OR and NOT",
    "CAST": "a value keeps its kind; a date is written DATE '2026-01-31'",
    "TRY_CAST": "a value keeps its kind; a date is written DATE '2026-01-31'",
    "SELECT": "to look something up, write lookup(register, key, 'column')",
    "EXISTS": "to ask whether something is registered, write in_register(x, 'register')",
    "ILIKE": "write lower(x) LIKE 'a%'",
    "SIMILAR": "write matches(x, 'pattern')",
    "GLOB": "write x LIKE 'a%', or matches(x, 'pattern')",
    "REGEXP": "write matches(x, 'pattern')",
    "RLIKE": "write matches(x, 'pattern')",
    "ESCAPE": "write contains(x, '50%'), starts_with or ends_with, which know no wildcards",
    "INTERVAL": "write age_days(x) > 30",
    "TIMESTAMP": "write the time as text: charge_period_start >= '2026-01-31 12:00:00'",
    "CURRENT_DATE": "write age_days(x) for the days since x",
    "DISTINCT": "write a = b, or a IS NULL",
    "ISNULL": "write IS NULL",
    "NOTNULL": "write IS NOT NULL",
    "XOR": "write (a OR b) AND NOT (a AND b)",
    "WITH": "a predicate is one condition",
    "UNION": "a predicate is one condition",
    "COLLATE": "comparison is by code point; write lower(x) = 'a' to ignore case",
}


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of the text: a string, number, name or operator, and where it starts."""

    kind: str
    text: str
    start: int

    @property
    def upper(self) -> str:
        """The text as an operator or keyword, which may be written in any case; nothing for other words."""
        return self.text.upper() if self.kind in ("name", "operator") else ""

    @property
    def is_name(self) -> bool:
        """Whether it names something: a column, function, tag or register."""
        return self.kind == "member" or (self.kind == "name" and self.upper not in _KEYWORDS)

    @property
    def is_value(self) -> bool:
        """Whether it can stand on a side of an operator."""
        return self.is_name or self.kind in ("string", "number", "date") or self.upper in ("NULL", "TRUE", "FALSE")


def read(predicate: Predicate) -> tuple[exp.Expr | None, list[Problem]]:
    """Parse a predicate into sqlglot's tree, or say everything that keeps it from being read. Call in `deep_stack`."""
    text = predicate.text
    if len(text) > MAX_CHARACTERS:
        what = f"the predicate has {len(text):,} characters, more than {MAX_CHARACTERS:,}"
        return None, [Problem(predicate.position, "P039", what, "list the values in a register and use in_register")]
    if not text.strip():
        return None, [
            Problem(predicate.position, "P030", "the predicate is empty", "write a condition or leave it out")
        ]
    words, problems = _words(predicate)
    problems = problems or _parentheses(predicate, words) or _sides(predicate, words)
    if problems:
        return None, problems
    tokens = list(_tokens(words))
    try:
        trees = Dialect.get_or_raise("duckdb").parser().parse_into(exp.Condition, tokens, text)
    except ParseError as error:
        return None, [_unreadable(predicate, words, error)]
    if len(trees) != 1 or trees[0] is None:
        return None, [Problem(predicate.position, "P030", "the predicate can't be read", "write one condition")]
    if _depth(trees[0]) > MAX_DEPTH:
        return None, [_too_deep(predicate.position)]
    return trees[0], []


def _words(predicate: Predicate) -> tuple[list[Word], list[Problem]]:
    words: list[Word] = []
    problems: list[Problem] = []
    for match in _WORD.finditer(predicate.text):
        word = Word(str(match.lastgroup), match.group(), match.start())
        if word.kind == "space":
            continue
        if word.kind == "name" and words and words[-1].text == ".":
            word = replace(word, kind="member")  # a tag may be called as it likes: tag.in, tag.case
        if word.kind == "string" and words and words[-1].upper == "DATE":
            words.pop()
            word = Word("date", match.group(), match.start())
        problem = _wrong_word(predicate, word)
        if problem and not (word.kind == "other" and problem.mend in {p.mend for p in problems}):
            problems.append(problem)
        if word.text == "'":
            break  # what follows an open quote is text, not words
        words.append(word)
    return words, problems


def _wrong_word(predicate: Predicate, word: Word) -> Problem | None:
    at = place(predicate, word.start)
    text = word.text
    if word.kind == "number" and not _NUMBER.fullmatch(text):
        return Problem(at, "P040", f'"{_shown(text)}" is not a number', "write plain digits, as in 1234.56")
    if word.kind in ("name", "member") and not text.isascii():
        strange = next(c for c in text if not c.isascii())
        what = f'the name "{_shown(text)}" has the letter "{_shown(strange)}" ({_unicode_name(strange)})'
        return Problem(at, "P045", what, "names are written in plain a-z, 0-9 and _: retype it")
    if word.upper in _MEND_WORD:
        return Problem(at, "P038", f"{word.upper} is not part of the predicate language", _MEND_WORD[word.upper])
    if word.kind in ("refused", "other"):
        return _wrong_symbol(at, text)
    return _wrong_string(at, text) if word.kind in ("string", "date") else None


def _wrong_string(at: Position, text: str) -> Problem | None:
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\t\n\r\u200c\u200d":
            what = f"the text holds an invisible character ({_unicode_name(character)})"
            return Problem(at, "P045", what, "remove it, it would hide what the rule says")
    return None


def _wrong_symbol(at: Position, text: str) -> Problem:
    if text == "'":
        return Problem(
            at, "P043", "this text has no closing quote", "add it: 'text'; a quote inside is doubled: 'it''s'"
        )
    if text[0] in '"`':
        inner = _shown(text.strip('"`'))
        what = f"{_shown(text)} stands in the wrong quotes"
        return Problem(at, "P044", what, f"text stands in single quotes: '{inner}'; names stand without quotes")
    if not text.isascii():
        quote = unicodedata.category(text) in ("Pi", "Pf")
        what = f'the character "{_shown(text)}" ({_unicode_name(text)}) is not part of the predicate language'
        return Problem(at, "P045", what, "text stands in straight quotes: '" if quote else "remove it or retype it")
    text = text[:2]  # of a comment
    mend = _MEND_SYMBOL.get(text, "operators are = <> < <= > >= + - * and words such as AND, OR, NOT, IN, LIKE")
    return Problem(at, "P038", f"{_shown(text)} is not part of the predicate language", mend)


def _shown(text: str) -> str:
    """Make a piece of a hostile text fit for a terminal."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:80])


def _unicode_name(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}")


def _parentheses(predicate: Predicate, words: Sequence[Word]) -> list[Problem]:
    opened: list[tuple[Word, int]] = []
    prefixes = 0  # NOT and - in a row nest like parentheses
    depth = 0
    for word in words:
        if word.text == "(":
            opened.append((word, prefixes))
            depth += prefixes + 1
        elif word.text == ")":
            if not opened:
                return [Problem(place(predicate, word.start), "P030", "this ) closes nothing", "remove it, or open it")]
            depth -= opened.pop()[1] + 1
        prefixes = prefixes + 1 if word.upper in ("NOT", "-") else 0
        if depth + prefixes > MAX_DEPTH:
            return [_too_deep(place(predicate, word.start))]
    if opened:
        return [Problem(place(predicate, opened[-1][0].start), "P030", "this ( is never closed", "add the missing )")]
    return []


def _too_deep(at: Position) -> Problem:
    what = f"the predicate is nested more than {MAX_DEPTH} levels deep"
    return Problem(at, "P039", what, "split it into several rules, or list the values in a register")


def _sides(predicate: Predicate, words: Sequence[Word]) -> list[Problem]:
    """Find operators that lack a side and values that lack an operator. sqlglot reads past some of them."""
    problems = []
    for word, before, after in zip(words, (None, *words), (*words[1:], None), strict=False):
        if problem := _wrong_neighbour(word, before, after):
            problems.append(Problem(place(predicate, word.start), "P030", *problem))
    return problems


def _wrong_neighbour(word: Word, before: Word | None, after: Word | None) -> tuple[str, str] | None:
    shown = _shown(word.text)
    opens = before is None or before.text in ("(", ",") or before.upper in _NEEDS_RIGHT
    closes = after is None or after.text in (")", ",")
    if word.text == "," and (opens or closes):
        return "this comma separates nothing", "remove it, or write a value on both sides"
    negated = before is not None and before.upper == "NOT" and word.upper in _AFTER_NOT
    if word.upper in _NEEDS_LEFT and opens and not negated:
        return f"{shown} has nothing on its left side", f"write a value or a condition before {shown}"
    if word.upper in _NEEDS_RIGHT and closes:
        return f"{shown} has nothing on its right side", f"write a value or a condition after {shown}"
    if before is None or (before.is_name and word.text == "("):
        return None
    if (before.text == ")" or before.is_value) and (word.text == "(" or word.is_value):
        return f"no operator stands between {_shown(before.text)} and {shown}", "write AND, OR, = or another operator"
    return None


def _tokens(words: Sequence[Word]) -> Iterator[Token]:
    for word in words:
        text = word.text
        end = word.start + len(text) - 1
        if word.kind == "date":
            yield Token(TokenType.DATE, "DATE", line=1, col=word.start, start=word.start, end=word.start)
        if word.kind in ("string", "date"):
            kind, text = TokenType.STRING, text[1:-1].replace("''", "'")
        elif word.kind == "number":
            kind = TokenType.NUMBER
        elif word.kind == "operator":
            kind = _OPERATORS[text]
        elif word.upper in _KEYWORDS:
            kind = _KEYWORDS[word.upper]
        else:
            kind, text = TokenType.VAR, MARK + text
        yield Token(kind, text, line=1, col=end + 1, start=word.start, end=end)


@contextmanager
def deep_stack() -> Iterator[None]:
    """Let sqlglot nest: 64 levels take more frames than Python allows by default, and fewer than hurt."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _STACK))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _unreadable(predicate: Predicate, words: Sequence[Word], error: ParseError) -> Problem:
    column = error.errors[0].get("col") if error.errors else None
    word = next((w for w in words if column and w.start + len(w.text) == column), None)
    if word is None:
        return Problem(predicate.position, "P030", "the predicate can't be read", "write one condition")
    what = f"the predicate can't be read at {_shown(word.text)}"
    mend = "join conditions by AND or OR, and compare by = or IN (...)"
    return Problem(place(predicate, word.start), "P030", what, mend)


def _depth(tree: exp.Expr) -> int:
    """Measure the nesting without recursion. Terms of one AND or OR stand side by side."""
    deepest = 0
    pending = [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        deepest = max(deepest, depth)
        for child in node.iter_expressions():
            beside = isinstance(node, exp.Paren) or (isinstance(node, (exp.And, exp.Or)) and type(child) is type(node))
            pending.append((child, depth if beside else depth + 1))
    return deepest

"""Small faults put into a module, one at a time: other operators, constants, signs, bounds off by one."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.USub: ast.UAdd,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "minimum": "maximum",
    "maximum": "minimum",
}
SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr, ast.Raise, ast.Assert)
AROUND = 30  # characters of a statement that are shown beside a fault
WITHOUT_EFFECT = ("cache", "nogil", "stacklevel")  # keywords of the compiler and of warnings: no result depends on them


@dataclass(frozen=True)
class Mutant:
    """A module with one fault.

    Attributes:
        name: function and fault, in one line that does not depend on the rest of the module.
        source: of the whole module.
    """

    name: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """All of a module, without those that read the same."""
    tree = ast.parse(source)
    found: dict[str, Mutant] = {}
    for place, statement, node in _nodes(tree, "module", None):
        for field, value in _faults(node):
            before, kept = _line(statement), getattr(node, field)
            setattr(node, field, value)
            after, whole = _line(statement), ast.unparse(ast.fix_missing_locations(tree))
            setattr(node, field, kept)
            if before != after:
                name = f"{place}: {_difference(before, after)}"
                again = sum(other == name or other.startswith(f"{name} #") for other in found)
                name += f" #{again + 1}" if again else ""
                found[name] = Mutant(name, whole)
    return list(found.values())


def sample(source: str, number: int, seed: int) -> list[Mutant]:
    """`number` of them at random; a change elsewhere in the module leaves the choice as it is."""

    def rank(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed} {mutant.name}".encode()).hexdigest()

    return sorted(mutants(source), key=rank)[:number]


def _difference(before: str, after: str) -> str:
    """Where two lines differ, with what stands around it."""
    start = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    left = max(0, start - AROUND)
    end = next(
        i for i in range(1, 1 + len(before + after)) if before[-i:][:1] != after[-i:][:1] or len(before) - i < start
    )
    stop = [max(start + 1, len(text) - end + 1 + AROUND) for text in (before, after)]
    return "  ->  ".join(text[left:until] for text, until in zip((before, after), stop, strict=True))


def _line(statement: ast.AST) -> str:
    """A statement, of a compound one the head."""
    text = ast.unparse(statement).splitlines()
    return " ".join(text) if isinstance(statement, SIMPLE) else text[0]


def _nodes(node: ast.AST, place: str, statement: ast.AST | None) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Nodes that may be changed, each with its function and statement; no annotations, decorators or messages."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, (ast.JoinedStr, ast.ImportFrom)):
                continue
            if isinstance(child, ast.keyword) and child.arg in WITHOUT_EFFECT:
                continue
            inside = child.name if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else place
            if inside != place and place != "module":
                inside = f"{place}.{inside}"
            own = child if isinstance(child, ast.stmt) else statement
            if not isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                yield inside, own or child, child
            yield from _nodes(child, inside, own)


def _faults(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Fields of a node and what they could wrongly be."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            yield "ops", [OPERATORS[type(operator)]() if j == i else o for j, o in enumerate(node.ops)]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
        if any(isinstance(inner, ast.Compare) for inner in ast.walk(node)):  # else of sets, dictionaries or types
            yield "op", OPERATORS[type(node.op)]()
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_path(node):
        return
    elif isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp, ast.UnaryOp)) and type(node.op) in OPERATORS:
        yield "op", OPERATORS[type(node.op)]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "operand", ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield "value", node.value + 1
        yield "value", node.value - 1 if isinstance(node.value, int) else 2 * node.value
    elif isinstance(node, ast.Slice) and node.upper is not None:
        yield "upper", ast.BinOp(node.upper, ast.Add(), ast.Constant(1))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        yield "args", [*node.args[:-1], ast.BinOp(node.args[-1], ast.Sub(), ast.Constant(1))]
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield "id", NAMES[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield "attr", NAMES[node.attr]


def _is_path(node: ast.AST) -> bool:
    """Whether a division joins the parts of a path: any other operator is an error at once."""
    parts = [inner for inner in ast.walk(node) if isinstance(inner, (ast.Constant, ast.JoinedStr))]
    return any(isinstance(part, ast.JoinedStr) or isinstance(part.value, str) for part in parts)

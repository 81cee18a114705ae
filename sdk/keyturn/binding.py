"""A function's arguments as params, and approved params as arguments of the types the function expects.

An argument that came back unchanged is passed on as the very object the caller gave; a changed one is
rebuilt as what the caller gave, or by the function's annotation where JSON lost the type. What
cannot be rebuilt is refused: the function does not run.
"""

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from keyturn import exact
from keyturn.errors import ModificationMismatch

_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL


class Bound:
    """One call of a function: `params` is what is asked for, `restored` is how to call it then."""

    def __init__(self, shape: "Shape", arguments: inspect.BoundArguments) -> None:
        self._shape = shape
        self._arguments = arguments
        self._originals = dict(shape.split(arguments.arguments))
        self.params: dict[str, Any] = {
            name: exact.plain(value, name) for name, value in self._originals.items()
        }

    def restored(self, approved: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments for the approved params.

        Raises:
            ModificationMismatch: a param is missing, unknown to the function, or of a type it cannot take.
        """
        shape, rest = self._shape, dict(approved)
        for name, parameter in shape.parameters.items():
            if parameter.kind is not _VAR_KEYWORD:
                if name not in rest:
                    raise ModificationMismatch(f"The approved params lack {name!r}, which {shape.name} needs")
                self._arguments.arguments[name] = self._value(name, rest.pop(name), shape.hint(name))
        if shape.extra is None and rest:
            raise ModificationMismatch(f"{shape.name} takes no argument {sorted(rest)[0]!r}")
        if shape.extra is not None:
            hint = shape.hint(shape.extra)
            self._arguments.arguments[shape.extra] = {
                name: self._value(name, value, hint) for name, value in rest.items()
            }
        return self._arguments.args, self._arguments.kwargs

    def _value(self, name: str, approved: Any, hint: Any) -> Any:
        try:
            return _like(self._originals.get(name), approved, hint)
        except (ValidationError, PydanticUserError, TypeError, ValueError) as error:
            raise ModificationMismatch(
                f"{self._shape.name} cannot take {name}={exact.dumps(approved)}: {error}"
            ) from error


class Shape:
    """What a function's arguments are called and which of them make up the action.

    Args:
        exclude: Arguments that are no part of the action (a connection, a logger). Nobody reviews them.
            A first argument called `self` or `cls` is always excluded.
    """

    def __init__(self, function: Callable[..., Any], exclude: Iterable[str] = ()) -> None:
        self.name = getattr(function, "__qualname__", repr(function))
        self._signature = inspect.signature(function)
        declared = self._signature.parameters
        hidden = set(exclude) | {name for name in list(declared)[:1] if name in ("self", "cls")}
        if unknown := set(exclude) - set(declared):
            raise TypeError(f"{self.name} has no argument {sorted(unknown)[0]!r} to exclude")
        self.parameters = {name: each for name, each in declared.items() if name not in hidden}
        extra = [name for name, each in self.parameters.items() if each.kind is _VAR_KEYWORD]
        self.extra = extra[0] if extra else None
        self._hints = _hints(function)

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Bound:
        """Bind a call, defaults included.

        Raises:
            TypeError: the function does not take these arguments, or JSON cannot carry one.
        """
        arguments = self._signature.bind(*args, **kwargs)
        arguments.apply_defaults()
        return Bound(self, arguments)

    def split(self, arguments: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Yield (param, argument) pairs; the entries of `**kwargs` are params of their own."""
        for name, parameter in self.parameters.items():
            if parameter.kind is not _VAR_KEYWORD:
                yield name, arguments[name]
                continue
            for key, value in arguments[name].items():
                if key in self.parameters:
                    raise TypeError(f"{self.name}: the argument {key!r} is given twice")
                yield key, value

    def hint(self, name: str) -> Any:
        """The annotation of an argument; Any without one."""
        hint = self._hints.get(name, Any)
        if name in self.parameters and self.parameters[name].kind is _VAR_POSITIONAL:
            return types.GenericAlias(tuple, (hint, ...))
        return hint


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # a name that exists only for the type checker
        return {}


def _like(original: Any, approved: Any, hint: Any) -> Any:
    """Return `approved` as the type of `original`, or as `hint` says; `original` itself if unchanged."""
    if _unchanged(original, approved):
        return original
    hinted = hint is not Any and hint is not object
    if type(original) in (Decimal, float) and _number(approved):
        return _checked(type(original)(approved), hint)
    if type(original) is type(approved) and not isinstance(approved, dict | list):
        return _checked(approved, hint)
    if hinted:
        return TypeAdapter(hint).validate_python(approved)
    if isinstance(original, dict) and isinstance(approved, dict):
        return {name: _like(original.get(name), value, Any) for name, value in approved.items()}
    if isinstance(original, list | tuple) and isinstance(approved, list):
        pairs = zip(approved, [*original, *([None] * len(approved))], strict=False)
        return type(original)(_like(before, value, Any) for value, before in pairs)
    return approved if original is None else TypeAdapter(type(original)).validate_python(approved)


def _checked(value: Any, hint: Any) -> Any:
    """Hold `value` against the annotation, but keep its type: the caller chose it."""
    TypeAdapter(hint).validate_python(value)
    return value


def _unchanged(original: Any, approved: Any) -> bool:
    try:
        return exact.same(original, approved)
    except (TypeError, ValueError):  # it was mutated into something that cannot be sent
        return False


def _number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)

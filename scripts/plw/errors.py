"""Errors for people: what is wrong, which value, where it was set, what to do."""

from collections.abc import Iterable

MOST_SHOWN = 1000  # characters of a value: a cell or a key can be a whole file


class InputError(ValueError):
    """Something that a user gave cannot be used.

    what   one sentence that says what is wrong
    value  the offending value, shown with repr, a long one cut (omitted if None)
    where  file and line, key path or command-line flag where it was set
    hint   what to do about it
    """

    def __init__(self, what: str, *, value: object = None, where: str | None = None, hint: str | None = None):
        self.what, self.value, self.where, self.hint = what, value, where, hint
        lines = [what]
        if value is not None:
            shown = repr(value)
            lines.append(f"  Value: {shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + ' …'}")
        if where:
            lines.append(f"  Where: {where}")
        if hint:
            lines.append(f"  Hint:  {hint}")
        super().__init__("\n".join(lines))


class InputErrors(ValueError):
    """Several input errors, shown together so that all can be mended at once."""

    def __init__(self, errors: list[InputError]):
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


def reason(error: BaseException) -> str:
    """The words of what went wrong alone, for a message that says the rest itself."""
    return error.hint or error.what if isinstance(error, InputError) else str(error) or type(error).__name__


def nearest_hint(word: str, known: Iterable[object], lead: str = "") -> str:
    """'did you mean …?' for the known word nearest to `word`, or an empty string when none is near."""
    import difflib  # here, as every program imports this module before it knows whether it fails

    near = difflib.get_close_matches(str(word), [str(item) for item in known], n=1, cutoff=0.5)
    return f'{lead}did you mean "{near[0]}"?' if near else ""

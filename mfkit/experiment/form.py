"""What files that somebody may have edited must look like, as a pattern of plain values."""

from numbers import Real

__all__ = ["misfit"]


def misfit(value: object, form: object, name: str = "the file") -> str | None:
    """The first place where a value does not fit a form, in words; None if it fits.

    Arguments:
        value: as JSON gives it.
        form: a type, or several in a tuple; `Real` is any number but a bool; `{"key": form}` needs
            these keys, `{str: form}` any number of any keys; `[form]` is a list.
        name: what messages call the value.

    Example:
        >>> misfit({"seed": "0"}, {"seed": int})
        "the file's 'seed' should be a whole number, got '0'"
        >>> misfit({"a": [1, 2]}, {str: [int]}) is None
        True
    """
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return f"{name} should be an object, got {_short(value)}"
        if str in form:
            form = dict.fromkeys(value, form[str])
        missing = [key for key in form if key not in value]
        if missing:
            return f"{name} lacks {missing[0]!r}"
        parts = ((value[key], part, f"{name}'s {key!r}") for key, part in form.items())
    elif isinstance(form, list):
        if not isinstance(value, list | tuple):
            return f"{name} should be a list, got {_short(value)}"
        parts = ((part, form[0], f"{name}'s entry {n}") for n, part in enumerate(value))
    else:
        kinds = form if isinstance(form, tuple) else (form,)
        right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        words = " or ".join(NAMES.get(kind, kind.__name__) for kind in kinds)
        return None if right else f"{name} should be {words}, got {_short(value)}"
    return next((found for part in parts if (found := misfit(*part))), None)


NAMES = {
    Real: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

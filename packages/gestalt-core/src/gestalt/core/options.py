"""Options given by name, refused where there are none of that name."""

from collections.abc import Collection


def check_options(what: str, given: Collection[str], known: type) -> None:
    """See that every option is one that there is.

    Args:
        what: is given them, as it is called in errors.
        given: their names.
        known: the TypedDict that has them all.

    Raises:
        TypeError: one is not known; the error names the one that was meant, or all.
    """
    names = list(known.__annotations__)
    for name in given:
        if name not in names:
            import difflib  # of use to mistakes alone

            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
            raise TypeError(f"{what} has no option {name!r}; {hint}")

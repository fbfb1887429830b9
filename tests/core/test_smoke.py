def test_core_imports() -> None:
    import gestalt.core  # noqa: F401

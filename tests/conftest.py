"""The order of all tests."""

collect_ignore = ["conftest.py"]  # it has no doctests, and shares its name with that of the browser's tests


def pytest_collection_modifyitems(items):
    """Files with slow tests first, so that no process ends alone with one of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)

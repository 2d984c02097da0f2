"""Holds dashboards to their schema: validate.py SCHEMA DASHBOARD...

Each as it is, and again with a key in every table that the schema does not know: that must be refused.
"""

import copy
import json
import sys

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match


def tables(value, path=()):
    """The paths of all tables."""
    if isinstance(value, dict):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from tables(inner, path + (key,))


def with_bogus_key(dashboard, path):
    """The dashboard with such a key, and of its panels only the one that has it, twice: that is quicker."""
    path = list(path)
    panels = dashboard["panels"]
    if path[:1] == ["panels"]:
        panels = [panels[path[1]]] * 2
        path[1] = 0
    changed = {**copy.deepcopy({**dashboard, "panels": []}), "panels": [copy.deepcopy(panel) for panel in panels[:2]]}
    at = changed
    for key in path:
        at = at[key]
    at["bogus"] = 1
    return changed


def complaints(schema, name):
    with open(name, encoding="utf-8") as file:
        dashboard = json.load(file)
    validator = Draft202012Validator(schema)
    for error in validator.iter_errors(dashboard):
        cause = best_match([error])
        yield f"{name}: {cause.json_path}: {cause.message[:300]}"
    for path in tables(dashboard):
        if validator.is_valid(with_bogus_key(dashboard, path)):
            yield f"{name}: {'.'.join(map(str, path))}: a key that nobody knows is taken"


def main(schema, *names):
    with open(schema, encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    found = [complaint for name in names for complaint in complaints(schema, name)]
    print("\n".join(found))
    sys.exit(1 if found else 0)


main(*sys.argv[1:])

"""JSON schemas for kubeconform, of Kubernetes' own description and of the definitions of others' resources."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

BY_KIND = (
    "{{ .ResourceKind }}{{ .KindSuffix }}.json",
    "{{ .ResourceKind }}.{{ .Group }}_{{ .ResourceAPIVersion }}.json",
)
"""Where kubeconform finds the schema of a resource: of Kubernetes' own, and of others'."""
DEFINITIONS = "_definitions.json"
LIKE_A_NUMBER = (".IntOrString", ".Quantity")

Schema = dict[str, Any]


def write_schemas(swagger: Mapping[str, Any], definitions: Path, target: Path) -> None:
    """Objects are closed: a field that nobody knows is an error."""
    target.mkdir()
    known = {name: _own(name, said) for name, said in swagger["definitions"].items()}
    (target / DEFINITIONS).write_text(json.dumps({"definitions": known}))
    for name, said in swagger["definitions"].items():
        for kind in said.get("x-kubernetes-group-version-kind", ()):
            if ".apimachinery." not in name:
                group = kind["group"].partition(".")[0]
                file = "-".join(part for part in (kind["kind"], group, kind["version"]) if part).lower()
                (target / f"{file}.json").write_text(json.dumps({"$ref": f"{DEFINITIONS}#/definitions/{name}"}))
    for path in sorted(definitions.glob("*.yaml")):
        for definition in yaml.safe_load_all(path.read_text()):
            if definition:
                _write_definition(definition["spec"], target)


def _own(name: str, said: Schema) -> Schema:
    if name.endswith(LIKE_A_NUMBER):
        return {"type": ["string", "number"]}
    # It describes schemas, with properties by the names of what makes schemas.
    return {"type": "object"} if name.endswith(".JSONSchemaProps") else _closed(said)


def _write_definition(spec: Schema, target: Path) -> None:
    for version in spec["versions"]:
        schema = _closed(version["schema"]["openAPIV3Schema"])
        schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}
        file = f"{spec['names']['kind'].lower()}.{spec['group']}_{version['name']}.json"
        (target / file).write_text(json.dumps(schema))


def _closed(said: Any) -> Any:
    """JSON Schema in place of OpenAPI's dialect."""
    if isinstance(said, list):
        return [_closed(one) for one in said]
    if not isinstance(said, dict):
        return said
    schema = {key: value if key in ("enum", "default", "required") else _closed(value) for key, value in said.items()}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return {"$ref": f"{DEFINITIONS}{reference}"}
    if schema.pop("x-kubernetes-int-or-string", False):
        return {"type": ["string", "integer"]}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if isinstance(schema.get("format"), str):
        del schema["format"]
    return schema

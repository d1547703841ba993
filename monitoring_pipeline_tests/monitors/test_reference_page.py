"""The reference of the YAML cannot go stale: it is the declaration's own words."""

from pathlib import Path

from pydantic import BaseModel

from monitoring_pipeline.monitors import declaration, reference_page
from monitoring_pipeline.monitors.loading import load_monitor

PAGE = Path(__file__).parents[2] / "docs" / "monitor-reference.md"


def test_the_page_is_what_the_declaration_says() -> None:
    """When this fails: python -m monitoring_pipeline.monitors.reference_page > docs/monitor-reference.md"""
    assert PAGE.read_text() == reference_page.render()


def test_every_key_is_explained() -> None:
    models = [m for m in vars(declaration).values() if isinstance(m, type) and issubclass(m, BaseModel)]
    unexplained = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert len(models) > 10
    assert unexplained == []


def test_every_section_of_the_declaration_has_its_table() -> None:
    explained = {model for _, model in reference_page._SECTIONS}
    models = {m for m in vars(declaration).values() if isinstance(m, type) and issubclass(m, BaseModel)}
    assert models - explained == {BaseModel, declaration.Declared}


def test_the_example_of_the_page_loads(tmp_path: Path) -> None:
    example = PAGE.read_text().split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "churn.yaml"
    path.write_text(example)
    assert load_monitor(path).name == "churn"

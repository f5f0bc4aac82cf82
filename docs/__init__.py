"""Documentation, part of which is generated: python -m docs.build."""

"""The configuration: one pydantic model a stage, from which defaults, JSON schema and config/README.md are made."""

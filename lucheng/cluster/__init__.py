"""The stages of the service in several processes: docs/design/roles.md."""

"""Reports: what an analysis came to, as one document, and that document as JSON, CSV and HTML. Pure."""

"""The command `lucheng`: wiring, the pipeline, the demo. The only room that knows all the others."""

"""What is in a picture: persons and vehicles, never who. Pictures in, columns out; weights come in as bytes."""

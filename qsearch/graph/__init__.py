"""A Keras model as plain data: nodes, shapes, formats."""

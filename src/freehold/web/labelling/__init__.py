"""The labelling page: a queue of rows, answered by keyboard."""

"""What Amazon SageMaker is asked for, as bodies: pure functions, tables with dates, and a check of each body."""

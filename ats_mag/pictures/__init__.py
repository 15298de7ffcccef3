"""Pictures of what a model looks at on one slide."""

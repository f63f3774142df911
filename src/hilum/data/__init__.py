"""Images and what is known of them: sources, cohorts, roles, pixels. Knows nothing of models."""

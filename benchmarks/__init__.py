"""How fast Keyturn is, as ratios to floors measured in the same run."""

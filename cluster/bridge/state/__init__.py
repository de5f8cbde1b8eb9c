"""What is kept on disk about running clusters: records, logs and losses, in a private folder."""

"""What happened on a cluster: events found by comparing what was seen with what was seen before. Pure."""

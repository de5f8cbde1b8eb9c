"""What happened on a cluster, found by comparing what is seen with what was seen before. Pure."""

"""What an event does not say but its addresses and its user agent do; a file a part (contract §7)."""

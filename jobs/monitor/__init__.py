"""Whether decisions are still right: compares the traffic in the audit log with the training rows."""

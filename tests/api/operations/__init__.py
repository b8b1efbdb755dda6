"""Tests of a service in operation: status, logs, jobs, faults, several processes, and upgrades."""

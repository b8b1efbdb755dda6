"""The bench of audits: `measuring` measures; `leaves` is what runs in the processes, and imports little."""

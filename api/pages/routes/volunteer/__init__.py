"""The pages below a volunteer's record: shifts and days, disputes, papers."""

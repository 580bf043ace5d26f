"""Who may see the page, who may act, and who has control just now."""

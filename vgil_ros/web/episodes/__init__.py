"""Episodes for the page: folders, lists, pictures, verdicts, tracks, and curation. No widgets; what blocks says so."""

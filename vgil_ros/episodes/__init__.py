"""Episode files: layout, writer, reader, check, repair, convert, plot."""

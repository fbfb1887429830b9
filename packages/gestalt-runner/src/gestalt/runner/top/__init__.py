"""What `gestalt top` shows of a running application, as text and in a terminal."""

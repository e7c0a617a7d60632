"""Import of books, notes, mails and chats as clean text and conversations."""

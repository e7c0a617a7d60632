"""What people have (books, notes, mails, chats) as clean text and conversations."""

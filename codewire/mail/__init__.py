"""Mail between parties: mailbox, requests, letters, how they are typed. Knows no frames."""

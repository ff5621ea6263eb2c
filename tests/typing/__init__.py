"""What a user's type checker sees of tdbs."""

"""The MCP server: an AI agent drives Codewire over stdio. Uses client/ only. See spec/mcp.md."""

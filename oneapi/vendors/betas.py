"""Names of beta features of Claude that clients may ask for, without their dates, by where the model runs.

Left out is what reaches data of our account (files, skills, containers, MCP servers), what has another price (fast mode) or
another kind of credential (oauth). A name that a provider does not know would be refused there with 400.
"""

# https://platform.claude.com/docs/en/api/beta-headers
ANTHROPIC = (
    "advanced-tool-use", "claude-code", "compact", "computer-use", "context-1m", "context-management", "dev-full-thinking",
    "effort", "extended-cache-ttl", "fine-grained-tool-streaming", "interleaved-thinking", "max-tokens-3-5-sonnet", "messages",
    "mid-conversation-output-config", "mid-conversation-system", "mid-conversation-tool-changes",
    "model-context-window-exceeded", "output-128k", "pdfs", "per-turn-control", "prompt-caching", "prompt-caching-scope",
    "structured-outputs", "thinking-binding-controls", "thinking-display-updates", "thinking-token-count",
    "token-efficient-tools", "tool-examples", "tool-search-tool", "tools",
)  # fmt: skip
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
BEDROCK = (
    "compact", "computer-use", "context-1m", "context-management", "dev-full-thinking", "effort", "fine-grained-tool-streaming",
    "interleaved-thinking", "output-128k", "token-efficient-tools", "tool-examples", "tool-search-tool",
)  # fmt: skip
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
VERTEX = ("compact", "computer-use", "context-1m", "context-management", "interleaved-thinking", "tool-search-tool")

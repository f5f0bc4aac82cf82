"""What a person should know before filling in a channel of a type; what the form's fields already say is not repeated."""

NOTES = {
    3: "The name of a deployment must be the name of the model.",
    8: "Only the host is replaced: the provider must answer as OpenAI does. Prefer the type “OpenAI compatible”.",
    11: "This API is retired. Use the type Gemini.",
    15: "Keys of Qianfan v2 (bce-v3/…) belong to the type Baidu Qianfan v2.",
    17: "Keys of Model Studio (Bailian) work here; its OpenAI-compatible address is a type of its own.",
    18: "An HTTP API password belongs to the type iFlytek Spark v2.",
    21: "Questions are answered from one knowledge library: give its ID.",
    22: "The key holds the API key and the app's ID, joined by a hyphen. For a server of your own, give its address.",
    33: "Models are named by their ID or by an inference profile; access to each must be granted in the AWS console.",
    34: "A model is a bot: give the ID of the bot, with or without “bot-” in front.",
    37: "The account ID stands in the address of the Cloudflare dashboard.",
    40: "A model is an endpoint (ep-…) or a model's own name, as the console shows it.",
    42: "The service account needs the role Vertex AI User in its project.",
    43: "Requests are passed on as they are: neither models, nor mapping, nor a system prompt apply.",
    50: "Give the address as an OpenAI SDK wants it, usually with /v1 at its end.",
}

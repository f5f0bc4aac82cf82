// The playground's request as a program.
import { $ } from "./app.js";

const CODE = {
  curl: (address, body) => `curl ${address}/v1/chat/completions \\\n  -H "Authorization: Bearer $ONE_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'`,
  Python: (address, body) => `from openai import OpenAI\n\nclient = OpenAI(base_url="${address}/v1", api_key=ONE_API_KEY)\nanswer = client.chat.completions.create(\n${Object.entries(body).map(([k, v]) => `    ${k}=${python(v)},`).join("\n")}\n)`,
  Node: (address, body) => `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${address}/v1", apiKey: process.env.ONE_API_KEY });\nconst answer = await client.chat.completions.create(${JSON.stringify(body, null, 2)});`,
};
const python = (value) => (value === true ? "True" : value === false ? "False" : value === null ? "None" : JSON.stringify(value));

export function write(address, body) {
  for (const [name, text] of Object.entries(CODE)) $(`#code-${name}`).textContent = text(address, body);
}

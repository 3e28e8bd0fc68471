# A module for Coder templates: cw in the workspace, its node started with it.
#
#   module "codewire" {
#     source   = "git::https://example.com/codewire.git//deploy/coder"
#     agent_id = coder_agent.main.id
#   }

terraform {
  required_version = ">= 1.0"
  required_providers {
    coder = {
      source  = "coder/coder"
      version = ">= 0.23"
    }
  }
}

variable "agent_id" {
  type        = string
  description = "The coder_agent that runs it."
}

variable "cw_version" {
  type        = string
  default     = "latest"
  description = "A release, v0.1.0 say; latest where cw is not in the image yet."

  validation {
    condition     = can(regex("^[A-Za-z0-9.+-]+$", var.cw_version))
    error_message = "A version is letters, digits and .+- only."
  }
}

resource "coder_script" "codewire" {
  agent_id           = var.agent_id
  display_name       = "Codewire"
  run_on_start       = true
  start_blocks_login = false
  script = join("\n", [
    "#!/usr/bin/env bash",
    "export CW_VERSION='${var.cw_version}'",
    file("${path.module}/startup.sh"),
  ])
}

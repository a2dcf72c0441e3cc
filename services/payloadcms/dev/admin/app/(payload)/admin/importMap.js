import { TaskPanel as TaskPanel_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { ThumbnailCell as ThumbnailCell_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { TitleCell as TitleCell_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { ModelField as ModelField_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { PromptField as PromptField_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { ParamsField as ParamsField_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { InputsField as InputsField_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { StatusCell as StatusCell_d4698f1a18b1134cf180a1f539b8c1a2 } from 'payload-plugin-media-tasks/client'
import { UnconnectedProjects as UnconnectedProjects_8de82b020ec6609a27fbdc15700f21b9 } from 'payload-plugin-media-tasks/rsc'
import { CollectionCards as CollectionCards_f9c02e79a4aed9a3924487c0cd4cafb1 } from '@payloadcms/next/rsc'

/** @type import('payload').ImportMap */
export const importMap = {
  "payload-plugin-media-tasks/client#TaskPanel": TaskPanel_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/client#ThumbnailCell": ThumbnailCell_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/client#TitleCell": TitleCell_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/client#ModelField": ModelField_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/client#PromptField": PromptField_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/client#ParamsField": ParamsField_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/client#InputsField": InputsField_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/client#StatusCell": StatusCell_d4698f1a18b1134cf180a1f539b8c1a2,
  "payload-plugin-media-tasks/rsc#UnconnectedProjects": UnconnectedProjects_8de82b020ec6609a27fbdc15700f21b9,
  "@payloadcms/next/rsc#CollectionCards": CollectionCards_f9c02e79a4aed9a3924487c0cd4cafb1
}

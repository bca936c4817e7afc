//! From bytes to messages, without I/O.

use bytes::Bytes;

use crate::{
    Error, Limits, Message, Text, Violation, close, compression,
    header::{Header, Opcode, PartialHeader},
    mask,
};

/// A compressed message may be this much longer than the longest message: incompressible data grows by five bytes a
/// block, and a client need not notice.
const DEFLATE_GROWTH_BYTES_MAX: usize = 1024;

/// Reads what a client sends. Between messages it owns no memory beside itself.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: Limits,
    inflates: bool,
    header: PartialHeader,
    frame: Option<Frame>,
    message: Option<Box<Assembly>>,
}

/// A frame whose header is known.
#[derive(Debug)]
struct Frame {
    header: Header,
    /// Bytes of the payload that came in already.
    seen: usize,
    /// How many it has; fits since it is within the limits.
    length: usize,
    /// The payload of a control frame. That of a data frame goes straight into the message.
    control: Vec<u8>,
}

/// A message of which not everything came in yet.
#[derive(Debug)]
struct Assembly {
    is_text: bool,
    is_compressed: bool,
    bytes: Vec<u8>,
    /// How many of the bytes are known to be whole characters.
    valid: usize,
}

impl Decoder {
    /// A decoder for one connection; `inflates` when permessage-deflate was negotiated.
    pub(crate) fn new(limits: Limits, inflates: bool) -> Self {
        Self { limits, inflates, header: PartialHeader::default(), frame: None, message: None }
    }

    /// Takes bytes off `input` up to the end of the next message; `None` when all were taken and more are needed.
    ///
    /// After an error nothing more can be decoded.
    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            if self.frame.is_none() {
                let Some(header) = self.header.read(input)? else { return Ok(None) };
                self.begin(header)?;
            }
            let Some(mut frame) = self.frame.take() else { return Ok(None) };
            let (chunk, rest) = input.split_at(input.len().min(frame.length - frame.seen));
            *input = rest;
            self.absorb(&mut frame, chunk)?;
            if frame.seen < frame.length {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(message) = self.end(frame)? {
                return Ok(Some(message));
            }
        }
    }

    fn begin(&mut self, header: Header) -> Result<(), Error> {
        let Header { opcode, is_compressed, .. } = header;
        let may_be_compressed = self.inflates && matches!(opcode, Opcode::Text | Opcode::Binary);
        if is_compressed && !may_be_compressed {
            return Err(Violation::ReservedBit.into());
        }
        match opcode {
            Opcode::Continuation if self.message.is_none() => return Err(Violation::NothingToContinue.into()),
            Opcode::Text | Opcode::Binary => {
                if self.message.is_some() {
                    return Err(Violation::InsideMessage.into());
                }
                let is_text = opcode == Opcode::Text;
                self.message =
                    Some(Box::new(Assembly { is_text, is_compressed, bytes: Vec::new(), valid: 0 }));
            }
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        let length = self.bounded(&header)?;
        self.frame = Some(Frame { header, seen: 0, length, control: Vec::new() });
        Ok(())
    }

    /// The length of a frame that fits.
    fn bounded(&self, header: &Header) -> Result<usize, Error> {
        let Limits { frame_bytes_max, message_bytes_max } = self.limits;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let Some(message) = self.message.as_ref().filter(|_| !header.opcode.is_control()) else {
            return Ok(length);
        };
        let growth = if message.is_compressed { DEFLATE_GROWTH_BYTES_MAX } else { 0 };
        if length > frame_bytes_max.saturating_add(growth) {
            return Err(Error::TooLarge { bytes_max: frame_bytes_max });
        }
        if message.bytes.len().saturating_add(length) > message_bytes_max.saturating_add(growth) {
            return Err(Error::TooLarge { bytes_max: message_bytes_max });
        }
        Ok(length)
    }

    fn absorb(&mut self, frame: &mut Frame, chunk: &[u8]) -> Result<(), Error> {
        let message = self.message.as_deref_mut().filter(|_| !frame.header.opcode.is_control());
        let (bytes, message) = match message {
            Some(message) => {
                (&mut message.bytes, Some((message.is_text && !message.is_compressed, &mut message.valid)))
            }
            None => (&mut frame.control, None),
        };
        if bytes.is_empty() && chunk.len() == frame.length {
            bytes.reserve_exact(chunk.len());
        }
        let start = bytes.len();
        bytes.extend_from_slice(chunk);
        mask::apply(&mut bytes[start..], frame.header.mask, frame.seen);
        frame.seen += chunk.len();
        if let Some((true, valid)) = message {
            *valid += whole_characters(&bytes[*valid..])?;
        }
        Ok(())
    }

    fn end(&mut self, frame: Frame) -> Result<Option<Message>, Error> {
        match frame.header.opcode {
            Opcode::Ping => Ok(Some(Message::Ping(frame.control.into()))),
            Opcode::Pong => Ok(Some(Message::Pong(frame.control.into()))),
            Opcode::Close => Ok(Some(Message::Close(close::parse(&frame.control)?))),
            Opcode::Continuation | Opcode::Text | Opcode::Binary if !frame.header.is_last => Ok(None),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                self.message.take().map(|message| message.finish(self.limits)).transpose()
            }
        }
    }
}

impl Assembly {
    fn finish(self, limits: Limits) -> Result<Message, Error> {
        let bytes = if self.is_compressed {
            compression::inflate(&self.bytes, limits.message_bytes_max)?
        } else {
            self.bytes
        };
        if self.is_text {
            let text = String::from_utf8(bytes).map_err(|_| Error::NotUtf8)?;
            Ok(Message::Text(Text::from(text)))
        } else {
            Ok(Message::Binary(Bytes::from(bytes)))
        }
    }
}

/// How many of the bytes are whole characters; an error as soon as no further byte could make text of them.
fn whole_characters(bytes: &[u8]) -> Result<usize, Error> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Error::NotUtf8),
    }
}

#[cfg(test)]
#[path = "decoder/tests.rs"]
mod tests;
